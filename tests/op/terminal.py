"""A person at a terminal: starts a program at a pseudo-terminal of its own, types an answer to each
question, and copies what the screen shows, with remarks on the terminal's echo.

    terminal.py '["question", "answer", ...]' PROGRAM ARGUMENT...

Ends as the program does; a TERM is handed on to it.
"""

import json
import os
import pty
import select
import signal
import sys
import termios

dialog = json.loads(sys.argv[1])
dialog = list(zip(dialog[::2], dialog[1::2]))
pid, screen = pty.fork()
if pid == 0:
    guard = ["setpriv", "--pdeathsig", "KILL", "--"]
    os.execvp(guard[0], guard + sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))


def say(text):
    sys.stdout.buffer.write(text)
    sys.stdout.flush()


def echoes():
    return bool(termios.tcgetattr(screen)[3] & termios.ECHO)


shown, typed, hidden = b"", 0, False
while True:
    # A question is asked once it stands there and the program has switched the echo off; a program
    # that forgets the latter gets its answer all the same, a second later, and it is seen.
    ready, _, _ = select.select([screen], [], [], 0.05)
    if ready:
        try:
            part = os.read(screen, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        say(part)
    if typed < len(dialog) and dialog[typed][0].encode() in shown:
        waited = 0
        while echoes() and waited < 20:
            select.select([], [], [], 0.05)
            waited += 1
        if not echoes():
            say(b"[echo is off]")
        shown = shown.split(dialog[typed][0].encode(), 1)[1]
        os.write(screen, dialog[typed][1].encode() + b"\n")
        typed, hidden = typed + 1, True
    if hidden and typed == len(dialog) and echoes():
        say(b"[echo is on]")
        hidden = False
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
