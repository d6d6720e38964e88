"""A stand-in for the guest package: the plain names, over lists."""


def split(value=None, n=None, /, **options):
    if value is None or options:
        return lambda function: function
    if callable(value):
        return value
    n = n or 2
    size = -(-len(value) // n)
    return [value[i * size : (i + 1) * size] for i in range(n)]


def copied(value):
    return value if isinstance(value, tuple) else list(value)


class _Remote:
    def __call__(self, value):
        if callable(value):
            return lambda *args, **kwargs: copied(value(*args, **kwargs))
        return copied(value)

    def empty(self, n):
        return [0] * n

    zeros = empty


remote = _Remote()
