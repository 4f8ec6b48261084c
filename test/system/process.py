"""Child processes of a test: logged, waited for, and ended by pid.

Also wait_for(), the only way in which tests wait: for an event, with a deadline.
SPDX-License-Identifier: Apache-2.0
"""

import os
import pathlib
import signal
import subprocess
import time


# Deadlines in the tests are those of an idle machine; a busy one takes some times as long, and to wait
# longer costs nothing where what is waited for comes.
PATIENCE = 3


class Deadline(AssertionError):
    """What a test waited for did not come in time."""


def wait_for(predicate, seconds=10, what=None, every=0.02):
    """Calls `predicate` until it returns something true, and returns that."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise Deadline(f"not within {seconds} s: {what or getattr(predicate, '__name__', predicate)}")
        time.sleep(every)


class Process:
    """A program in the background, in a namespace if one is named, with its output in a log file.

    `limits` are seconds that stop() grants before it kills.  Ends together with the test's process
    (PR_SET_PDEATHSIG by setpriv), so that an interrupted run leaves nothing behind.
    """

    def __init__(self, command, log, netns=None, stdin=subprocess.DEVNULL, environment=None):
        self.command = [str(word) for word in command]
        self.log = pathlib.Path(log)
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if netns:
            prefix = ["ip", "netns", "exec", str(netns), *prefix]
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [*prefix, *self.command],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def check_running(self):
        if not self.running:
            tail = "\n".join(self.output().splitlines()[-15:])
            raise AssertionError(f"{self.command[0]} ended with status {self.child.returncode}:\n{tail}")

    def wait_for(self, predicate, seconds=10, what=None):
        """wait_for() that gives up at once when the process has ended."""

        def alive_and_true():
            self.check_running()
            return predicate()

        return wait_for(alive_and_true, seconds, what)

    def wait_for_output(self, text, seconds=10):
        return self.wait_for(lambda: text in self.output(), seconds, f"'{text}' in {self.log}")

    def signal(self, number):
        if self.running:
            self.child.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait(10)

    def stop(self, limit=5):
        """Asks the process to end and returns its exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.child.returncode
