#!/usr/bin/env python3
"""A plug-in for GIMP 3: Filters > Remove Background adds a layer mask to the layer, so that nothing of it is lost.

Install: a folder `liftout` with this file, executable, in GIMP's `plug-ins` (Edit > Preferences > Folders > Plug-ins). It runs the
`liftout` command, which may be installed anywhere: LIFTOUT_COMMAND names it where it is not on the PATH.

As written: no GIMP 3 was at hand to run it in.
"""

import os
import subprocess
import sys
import tempfile

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio, GLib  # noqa: E402

PROCEDURE = "plug-in-liftout"


class Liftout(Gimp.PlugIn):
    """Tells GIMP what there is, and does it."""

    def do_query_procedures(self):
        """The names of the procedures."""
        return [PROCEDURE]

    def do_create_procedure(self, name):
        """What GIMP shows of one."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("Remove _Background")
        procedure.add_menu_path("<Image>/Filters")
        procedure.set_documentation(
            "Lift the subject out of a photo", "Adds the subject's alpha as a layer mask.", name
        )
        procedure.set_attribution("The liftout authors", "The liftout authors", "2026")
        return procedure

    def run(self, procedure, mode, image, drawables, config, data):
        """Add a mask to each chosen layer."""
        image.undo_group_start()
        try:
            for layer in drawables:
                _mask(image, layer)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error(said.strip()))
        finally:
            image.undo_group_end()
        Gimp.displays_flush()
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def _mask(image, layer):
    with tempfile.TemporaryDirectory() as folder:
        photo, found = f"{folder}/layer.png", f"{folder}/mask.png"
        alone = Gimp.Image.new(layer.get_width(), layer.get_height(), image.get_base_type())
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, Gio.File.new_for_path(photo), None)
        alone.delete()
        command = os.environ.get("LIFTOUT_COMMAND", "liftout")
        subprocess.run(
            [command, "cut", "--quiet", "--mask", photo, "-o", found], check=True, capture_output=True, text=True
        )
        loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(found))
        mask = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(mask)
        source, target = loaded.get_layers()[0].get_buffer(), mask.get_buffer()
        source.copy(None, Gegl.AbyssPolicy.NONE, target, None)
        target.flush()
        mask.update(0, 0, mask.get_width(), mask.get_height())
        loaded.delete()


Gimp.main(Liftout.__gtype__, sys.argv)
