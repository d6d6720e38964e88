from sandloom import lowlevel as _sandloom; import helpers
from helpers import work as do
from pkg import deep
from pkg.deep import work
from sandloom import remote


def prepare(n):
    return _sandloom.publish("prepare.remote9", list(range(n)))


def main(event):
    data = prepare(event)
    return [_sl[0] for (), _sl in _sandloom.gather(((), (do.defer(data),)) for _ in range(2))], work(data), deep.work(data), helpers.work(data), helpers.run(data)
