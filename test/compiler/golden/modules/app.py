import helpers
from helpers import work as do
from pkg import deep
from pkg.deep import work
from sandloom import remote


def prepare(n):
    return remote(list(range(n)))


def main(event):
    data = prepare(event)
    return [do(data) for _ in range(2)], work(data), deep.work(data), helpers.work(data), helpers.run(data)
