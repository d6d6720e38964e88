# components/read.py: compute component read, app.py:6
from app import read

def main(params, action):
    x = action.get_transport("x")
    return read.body(x.value())
