"""What holds for all unit tests."""

import hypothesis

# A busy machine may take longer than hypothesis' 200 ms over one example: that is no defect.
hypothesis.settings.register_profile("labkit", deadline=None)
hypothesis.settings.load_profile("labkit")
