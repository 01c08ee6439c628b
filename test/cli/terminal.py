"""A terminal for a test: runs a command in it, and copies what it shows to stdout. Each line of stdin is an order:
`resize <columns> <rows>`, `type <text>` with the text in hexadecimal digits, or `continue`: as soon as it is suspended."""

import fcntl, os, pty, select, signal, struct, sys, termios


def resize(columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


pid, terminal = pty.fork()
if pid == 0:
    sys.stdin.readline()  # the size is set by then
    os.execvp(sys.argv[1], sys.argv[1:])
resize(80, 24)
os.write(terminal, b"\n")
orders = b""
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    if terminal in ready:
        try:
            shown = os.read(terminal, 65536)
        except OSError:  # the command has ended
            break
        os.write(1, shown)
    if 0 in ready:
        some = os.read(0, 65536)
        if not some:
            break
        *lines, orders = (orders + some).split(b"\n")
        for line in lines:
            order, *rest = line.decode().split()
            if order == "resize":
                resize(*rest)
            elif order == "continue":
                os.waitpid(pid, os.WUNTRACED)
                os.kill(pid, signal.SIGCONT)
            else:
                os.write(terminal, bytes.fromhex(rest[0]))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
