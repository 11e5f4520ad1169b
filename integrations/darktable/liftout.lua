--[[
A target for darktable's export: "cut out (liftout)". Each photo is exported in the format that is chosen there, cut out by the `liftout`
command, and written to a folder.

Install: copy to ~/.config/darktable/lua/liftout.lua and add  require "liftout"  to ~/.config/darktable/luarc.
]]
local dt = require "darktable"

local M = {}
local WINDOWS = package.config:sub(1, 1) == "\\"
local PREFERENCES = "liftout"

-- A setting: of darktable's preferences, or without a window, as in darktable-cli, the variable LIFTOUT_COMMAND, LIFTOUT_OPTIONS or LIFTOUT_FOLDER.
local function setting(name, kind)
  if dt.configuration.has_gui then
    return dt.preferences.read(PREFERENCES, name, kind)
  end
  return os.getenv("LIFTOUT_" .. name:upper()) or ""
end

-- A word of a command line, whatever is in it.
local function quoted(word)
  if WINDOWS then
    return '"' .. word .. '"'
  end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Cut out a picture file. photo, target: paths. Returns whether it was done.
function M.cut(photo, target)
  local command, options = setting("command", "string"), setting("options", "string")
  local line = table.concat({
    quoted(command ~= "" and command or "liftout"), "cut", "--quiet", "--overwrite", options, "-o", quoted(target), "--", quoted(photo)
  }, " ")
  if WINDOWS then
    line = '"' .. line .. '"'
  end
  dt.print_log("liftout: " .. line)
  return dt.control.execute(line) == 0
end

local function name_of(image)
  return (image.filename:gsub("%.[^.]*$", "")) .. "-cutout.png"
end

local function store(_, image, _, exported)
  local folder = setting("folder", "directory")
  if folder == "" then
    folder = image.path
  end
  local target = folder .. (WINDOWS and "\\" or "/") .. name_of(image)
  if M.cut(exported, target) then
    dt.print("cut out: " .. target)
  else
    dt.print("liftout could not cut out " .. image.filename .. "; start darktable with -d lua to see why")
  end
  os.remove(exported)
end

if dt.configuration.has_gui then
  dt.preferences.register(PREFERENCES, "command", "string", "liftout: command", "path of the liftout command", "liftout")
  dt.preferences.register(PREFERENCES, "options", "string", "liftout: options", "options of liftout cut, such as --crop --margin 20", "")
  dt.preferences.register(PREFERENCES, "folder", "directory", "liftout: folder", "where cutouts are written", "")
  dt.register_storage("liftout", "cut out (liftout)", store)
else
  dt.register_event("liftout", "intermediate-export-image", function(_, image, exported)
    local folder = setting("folder", "directory")
    if folder ~= "" then
      M.cut(exported, folder .. (WINDOWS and "\\" or "/") .. name_of(image))
    end
  end)
end

return M
