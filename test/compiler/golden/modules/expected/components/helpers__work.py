# components/helpers__work.py: compute component helpers__work, helpers.py:5
from helpers import work

def main(params, action):
    data = action.get_transport("data")
    return work.body(data.value())
