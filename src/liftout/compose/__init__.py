"""What happens to a cutout after it is cut out: edits of its alpha, its place, what lies behind it.

One algorithm per file, on arrays; `liftout.cutout.Cutout` strings them together.
"""
