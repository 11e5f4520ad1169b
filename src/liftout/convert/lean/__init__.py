"""The networks as lean graphs: the same functions as `liftout.networks`, arranged to need little memory.

Every rearrangement is an identity of real numbers; results differ by rounding alone.
"""
