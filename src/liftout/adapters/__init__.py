"""Other tools' interfaces: names, parsing of parameters, and what they mean here.

    rembg       arguments of rembg's `remove`, in Python and over HTTP
    removebg    parameters of remove.bg's API 1.0
    parameters  values out of forms, queries and JSON

`liftout.compat` and the routes of `liftout.server` are made of these; they only carry requests to them and results back.
"""
