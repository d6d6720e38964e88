# components/nested.py: compute component nested, app.py:16
from app import nested

def main(params, action):
    x = action.get_transport("x")
    out = action.get_transport("out")
    return nested.body(x.value(), out.value())
