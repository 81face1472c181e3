"""The tabs: views that only draw. What the user does becomes a job of the worker; what the worker tells comes back by `draw`."""
