@echo off
rem "Remove background" in Explorer's menu "Send to": copy to the folder that `shell:sendto` opens.
rem Explorer calls it with the paths of the chosen files.
liftout cut --quiet -- %*
if errorlevel 1 pause
