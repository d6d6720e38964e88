# components/main.py: the entry, app.py:26
from app import main as application

def main(params, action):
    event = action.get_transport("event")
    return application(event.value())
