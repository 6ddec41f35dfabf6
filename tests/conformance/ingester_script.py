"""Runs in the environment of an `ocs-ingester`: reads calls of its public functions as JSON lines, answers each with a
line. `{"call": name, "file": path or null, "arguments": {…}}` → `{"result": …}` or `{"error": class, "message": …}`.
"""

import json
import sys

from ocs_ingester import ingester


def run(request):
    function = getattr(ingester, request["call"])
    if request["file"] is None:
        return function(**request["arguments"])
    with open(request["file"], "rb") as fileobj:
        return function(fileobj, **request["arguments"])


for line in sys.stdin:
    try:
        answer = {"result": run(json.loads(line))}
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
