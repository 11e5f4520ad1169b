"""A Django site in one file: a form, and the cutout of the photo that was chosen in it.

pip install liftout django
python django_app.py runserver
"""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie

from liftout import LiftoutError, Remover

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.environ.get("SECRET_KEY") or os.urandom(32).hex(),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
)

remover = Remover(max_pixels=50_000_000)  # one for all requests
FORM = """<!doctype html><title>Cut out a photo</title>
<form method="post" enctype="multipart/form-data">
<input type="hidden" name="csrfmiddlewaretoken" value="{token}">
<input type="file" name="photo" accept="image/*" required> <button>Cut out</button></form>"""


@ensure_csrf_cookie
def cut(request: HttpRequest) -> HttpResponse:
    """GET shows the form, POST answers the cutout."""
    if request.method != "POST":
        return HttpResponse(FORM.format(token=get_token(request)))
    photo = request.FILES.get("photo")
    if photo is None:
        return HttpResponse("choose a photo", status=400, content_type="text/plain")
    try:
        content = remover(photo.read()).to_bytes("png")
    except LiftoutError as error:
        return HttpResponse(str(error), status=422, content_type="text/plain")
    return HttpResponse(content, content_type="image/png")


urlpatterns = [path("", cut)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
