# components/pkg__deep__work.py: compute component pkg__deep__work, pkg/deep.py:5
from pkg.deep import work

def main(params, action):
    data = action.get_transport("data")
    return work.body(data.value())
