# components/fill.py: compute component fill, app.py:15
from app import fill

def main(params, action):
    out = action.get_transport("out")
    value = action.get_transport("value")
    key = action.get_transport("key")
    return fill.body(out.value(), value.value(), *action.params["rest"], key=key.value(), **action.params["options"])
