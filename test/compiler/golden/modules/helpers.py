from sandloom import split as cut


@cut
def work(data):
    return len(data)


def run(data):
    return [work(part) for part in cut(data, 2)]
