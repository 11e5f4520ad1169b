"""Training: of the built-in model (`training/`), and of a user's own from it or from a published one (`liftout tune`).

    reading.py              photos with masks in a folder, in the forms that people have them in
    examples.py             the same at the network's size, in memory
    checking.py             what is wrong with them
    job.py                  what the command does, from the folder to the pack
    run.py                  rounds, each measured; goes on after being killed
    start.py                what a model must offer to be tuned, and how the built-in one does
    network.py              the built-in network in PyTorch
    graph.py                the same as an ONNX file, and read back from one
    pocket_learner.py       how it learns
    published.py            U2-Net, IS-Net and BiRefNet from their checkpoints
    families.py             what of them learns
    low_rank.py             adapters of linear layers
    memory.py               the memory that they take
    published_learner.py    how they learn
    lessons.py, views.py    what is shown at which step, and how
    loss.py                 what is learnt
    scores.py               how good an alpha is

PyTorch is an extra: nothing of the run-time path imports this package.
"""
