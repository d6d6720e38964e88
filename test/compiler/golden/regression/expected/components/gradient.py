# components/gradient.py: compute component gradient, app.py:8
from app import gradient

def main(params, action):
    x = action.get_transport("x")
    y = action.get_transport("y")
    w = action.get_transport("w")
    return gradient.body(x.value(), y.value(), w.value())
