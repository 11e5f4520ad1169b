"""A Streamlit page: choose a photo, see its cutout, download it.

pip install liftout streamlit
streamlit run streamlit_app.py
"""

from __future__ import annotations

import streamlit as st

from liftout import LiftoutError, Remover


@st.cache_resource
def remover() -> Remover:
    """The model, loaded once for all visitors."""
    return Remover()


st.title("Cut out a photo")
uploaded = st.file_uploader("Photo", type=["jpg", "jpeg", "png", "webp", "avif", "tiff"])
background = st.selectbox("Background", ["transparent", "blur", "white", "black"])
if uploaded is not None:
    try:
        with st.spinner("Cutting out"):
            cutout = remover()(uploaded.getvalue())
        content = cutout.to_bytes("png", background=None if background == "transparent" else background)
    except LiftoutError as error:
        st.error(str(error))
    else:
        st.image(content)
        st.download_button("Download", content, "cutout.png", "image/png")
