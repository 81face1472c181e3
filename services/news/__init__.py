"""The host `news-server`: INN, set up for one lab."""
