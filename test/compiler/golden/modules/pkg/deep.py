import sandloom


@sandloom.split(timeout=1.5)
def work(data):
    data.sort()
    return data[0]
