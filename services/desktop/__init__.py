"""The window: a Tk client of the lab's servers, in a container of its own."""
