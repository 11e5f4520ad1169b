"""A FastAPI application with a route of its own that cuts out uploaded photos.

    pip install liftout fastapi python-multipart uvicorn
    uvicorn fastapi_app:app
    curl -F photo=@photo.jpg "http://127.0.0.1:8000/cutout?background=white" -o cutout.png

`liftout serve` is the whole server, with limits, keys and jobs; this shows how to cut out inside an application that you have.
"""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.responses import Response

from liftout import LiftoutError, Remover

LARGEST = 20_000_000
"""Bytes of an upload."""

app = FastAPI(title="Cutouts")
remover = Remover(max_pixels=50_000_000)  # one for all requests: it is safe to use from several threads


@app.post("/cutout", response_class=Response)
def cutout(photo: UploadFile, background: Literal["white", "black", "blur"] | None = None) -> Response:
    """The subject of a photo as PNG. Not `async`: FastAPI runs it on a thread, so that other requests go on.

    `background` is one of a few words here: text of a caller must never reach liftout as the path of a picture.
    """
    content = photo.file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise HTTPException(413, f"a photo may have {LARGEST // 1_000_000} MB")
    try:
        return Response(remover(content).to_bytes("png", background=background), media_type="image/png")
    except LiftoutError as error:
        raise HTTPException(422, str(error)) from None
