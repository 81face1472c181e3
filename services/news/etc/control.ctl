# No control message does anything here.
all:*:*:drop
