"""A build's events in the words of Docker's classic builder: the messages of `POST /build`."""

from labkit.build import events
from labkit.build.cache import SHORT

Message = dict[str, object]
"""One message of the API's stream: `{"stream": "Step 1/3 : FROM busybox\\n"}`."""


def message(event: events.Event) -> Message | None:
    """Return the stream's message about an event; None if it has none."""
    match event:
        case events.Pulled(told):
            return told
        case events.Built(image_id):
            return {"aux": {"ID": image_id}}
    text = _text(event)
    return {"stream": text} if text else None


def _text(event: events.Event) -> str:
    match event:
        case events.Begun(step) if step.number:
            return f"Step {step.number}/{step.total} : {step.instruction.original}\n"
        case events.Cached():
            return " ---> Using cache\n"
        case events.Printed(data=data):
            return data.decode("utf-8", "replace")
        case events.Said(text):
            return text
    return ""


def short(image_id: str) -> str:
    """An image's id as the builder shows it."""
    return image_id.removeprefix("sha256:")[:SHORT]
