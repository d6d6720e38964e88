# components/scale.py: compute component scale, app.py:14
from app import scale

def main(params, action):
    x = action.get_transport("x")
    by = action.get_transport("by")
    return scale.body(x.value(), by=by.value())
