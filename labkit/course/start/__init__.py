"""The start page: the chapters as cards, with the learner's progress.

| module | content |
|---|---|
| `progress` | the file that keeps which cells have run |
| `hook` | notes a cell when it has run |
| `chapters` | the chapters, their cells, and the links between them |
| `points` | the sentences of the notes, and the cells that show them |
| `glossary` | the terms, with the chapters' own sentences and the cells of these |
| `state` | what the page shows: bars, points, the place to go on |
| `page` | the page as HTML, and the same page while it is open |
| `handed_out` | the page in a learner's folder, with the progress on it |
"""
