"""Scores of predicted alphas: the names of `liftout.tuning.scores`."""

from liftout.tuning.scores import Score, Summary, f_measure, s_measure, score, summarise

__all__ = ["Score", "Summary", "f_measure", "s_measure", "score", "summarise"]
