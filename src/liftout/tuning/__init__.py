"""Training: of the built-in model (`training/`), and of a user's own from it (`liftout tune`).

    reading.py     photos with masks in a folder, in the forms that people have them in
    checking.py    what is wrong with them
    network.py     the built-in network in PyTorch
    graph.py       the same as an ONNX file, and read back from one
    views.py       how a photo is shown
    loss.py        what is learnt
    scores.py      how good an alpha is

PyTorch is an extra: nothing of the run-time path imports this package.
"""
