# components/gr_uf6__udf_e.py: compute component gr_uf6__udf_e, app.py:21
from app import größe

def main(params, action):
    params_ = action.get_transport("params")
    action_ = action.get_transport("action")
    return größe.body(params_.value(), action_.value())
