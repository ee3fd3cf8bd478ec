"""The course without a lab: a web edition (`make site`) and a printed one (`make print`).

| module | content |
|---|---|
| `pages` | a chapter as a page to read: questions, and what happened in folds |
| `front` | the pages around the chapters: the first, the glossary, the answers |
| `book` | writes the sources of an edition, and lets Sphinx build it |

Sphinx, MyST-NB and a theme build the pages; `requirements.txt` names them. They are installed in a
separate environment, so the lab does not grow.
"""
