"""The host `client`: `lab TOPIC VERB …`, small clients for each server of the lab, and what a learner wants to look at first."""
