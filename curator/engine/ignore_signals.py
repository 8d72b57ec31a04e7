"""What the fork server imports first: it and its workers leave Ctrl-C and SIGTERM, which a group may be sent, to the
driver."""

import signal

for _number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_number, signal.SIG_IGN)
