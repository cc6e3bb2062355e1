"""Where this process runs, for code that students and guests share."""

IN_GUEST = False  # True in a guest, where the judge asks the questions
