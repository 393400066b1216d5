"""A user is created with the client that openapi-python-client generates; `.ci/clients` runs it.

Every module of the client is imported, so that all of it is compiled."""

import importlib
import os
import pkgutil

import holdfast_client
from holdfast_client import AuthenticatedClient
from holdfast_client.api.users import get_user, post_user
from holdfast_client.models import JobState, Problem, User, UserRegister

count = 0
for module in pkgutil.walk_packages(holdfast_client.__path__, "holdfast_client."):
    importlib.import_module(module.name)
    count += 1

with AuthenticatedClient(base_url=os.environ["HOLDFAST_URL"], token=os.environ["HOLDFAST_KEY"]) as client:
    job = post_user.sync(client=client, body=UserRegister(), idempotency_key="python", prefer="wait=20")
    assert getattr(job, "state", None) == JobState.SETTLED, job
    user = get_user.sync(job.id, client=client)
    assert isinstance(user, User) and user.id == job.id, user

    # A problem is read as one.
    refused = get_user.sync("999999", client=client)
    assert isinstance(refused, Problem) and refused.code == "user_unknown", refused
print(f"openapi-python-client: {count} modules imported, user {job.id} is {job.state}")
