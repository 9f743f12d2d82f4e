"""Locks of the operating system (flock) on open files; the system releases them however a process ends."""

import errno
import fcntl

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)  # on some network file systems


def lock_exclusively(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if its file system has no locks.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the system failed to lock it for another reason.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True
