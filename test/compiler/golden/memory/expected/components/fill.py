# components/fill.py: compute component fill, app.py:11
from app import fill

def main(params, action):
    out = action.get_transport("out")
    value = action.get_transport("value")
    return fill.body(out.value(), value.value())
