"""A stand-in for Kana: the documented Admin GraphQL API on a local port, with its own accounts.

``with Sandbox() as sandbox`` serves at ``sandbox.url`` for ``sandbox.api_key``.
"""

from kana_destination.sandbox.exchange import KanaAccount
from kana_destination.sandbox.graphql_schema import Api
from kana_destination.sandbox.log import GraphQLRecord
from kana_destination.sandbox.sandbox import Sandbox
from kana_destination.sandbox.serving import serve

__all__ = ["Api", "GraphQLRecord", "KanaAccount", "Sandbox", "serve"]
