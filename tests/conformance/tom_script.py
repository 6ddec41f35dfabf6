"""Runs in the environment of the TOM Toolkit: asks its OCS and LCO facilities for the data products of a request.

Arguments: the archive's address, the token (or nothing), then a JSON list of `[facility, observation_id, product_id]`.
Prints a JSON list of what they give.
"""

import json
import sys

import django
from django.conf import settings

address, token, questions = sys.argv[1:4]
facility = {"portal_url": "", "archive_url": address, "api_key": token}
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sites",
        "guardian",
        "tom_targets",
        "tom_observations",
        "tom_dataproducts",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    FACILITIES={"OCS": facility, "LCO": facility},
    SITE_ID=1,
    USE_TZ=True,
)
django.setup()

from tom_observations.facilities.lco import LCOFacility  # noqa: E402
from tom_observations.facilities.ocs import OCSFacility  # noqa: E402

FACILITIES = {"OCS": OCSFacility, "LCO": LCOFacility}
answers = []
for name, observation, product in json.loads(questions):
    try:
        answers.append(FACILITIES[name]().data_products(observation, product))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
print(json.dumps(answers, default=str))
