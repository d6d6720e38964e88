from sandloom import lowlevel as _sandloom; import sandloom


@_sandloom.component("pkg__deep__work", writes=("data",))
def work(data):
    data.sort()
    return data[0]
