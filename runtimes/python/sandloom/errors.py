"""The errors of the guest. Their codes are the names of the classes, and are the host's codes too."""


class SandloomError(Exception):
    """Base of every error that Sandloom itself raises in a program."""

    @property
    def code(self):
        return type(self).__name__


class UnsupportedValue(SandloomError, TypeError):
    """A value that cannot be handed to or from a component. The message names where it is and what to write instead."""


class ResultNotJson(SandloomError, TypeError):
    """The result of the entry is neither JSON, an array, nor a frame."""


class WritesNeedRemote(SandloomError, TypeError):
    """A `writes=` parameter was given something that is not a writable array of a memory component."""


class MutatedByValue(SandloomError, RuntimeError):
    """A component changed an argument that it got by value."""


class MutatedGlobal(SandloomError, RuntimeError):
    """A component changed a global of one of the application's modules."""


class WroteReadOnlyComponent(SandloomError, RuntimeError):
    """A component changed an array that it was not declared to write."""


class ComponentRaised(SandloomError, RuntimeError):
    """A component raised an exception whose class cannot be rebuilt here; the message holds its name and text."""


class MemoryCapExceeded(SandloomError, MemoryError):
    """The run would hold more bytes in memory components than its cap."""


class FabricFull(SandloomError, MemoryError):
    """The server has no room for this memory component."""


class WindowFull(SandloomError, MemoryError):
    """The sandbox's window has no free range of this size."""


class HeapCapExceeded(SandloomError, MemoryError):
    """The component's own heap reached its cap."""


class BlockTooLarge(SandloomError, MemoryError):
    """One array would be 2 GiB or more, which a 32-bit sandbox cannot index: `split` it."""


class HostError(SandloomError, RuntimeError):
    """The host refused a call with a code that has no class of its own."""

    def __init__(self, message, host_code="HostError"):
        super().__init__(message)
        self.host_code = host_code

    @property
    def code(self):
        return self.host_code


def _define(name, doc):
    made = type(name, (SandloomError, RuntimeError), {"__doc__": doc, "__module__": __name__})
    globals()[name] = made


_define("TimedOut", "A component or the run exceeded its time.")
_define("Cancelled", "The run was cancelled by its caller.")
_define("ComponentLimitExceeded", "Too many components alive, or nested too deeply.")
_define("OutputLimitExceeded", "More output than the cap.")
_define("SandboxDied", "The sandbox of a component ended, and the component with it.")
_define("ExecutorDied", "The executor process ended, and its runs with it.")
_define("BadHostCall", "The host does not accept this call.")
_define("BadInput", "An argument, option or file of the caller is wrong.")
_define("Unsupported", "The machine lacks something that is needed.")
_define("InternalError", "A defect of Sandloom.")


def from_host(code, message, details=None):
    """The exception for an error reply of the host; `details` are the numbers concerned."""
    known = globals().get(code)
    if isinstance(known, type) and issubclass(known, SandloomError) and known is not HostError:
        made = known(message)
    else:
        made = HostError(message, code)
    if details:
        made.details = details
    return made
