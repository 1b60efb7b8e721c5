"""Requests from data: templates that make HTTP requests, and rules that read the answers."""

from collections.abc import Sequence

from destinations.definition import (
    ErrorRule,
    GraphQLDefinition,
    PendingDefinition,
    RequestDefinition,
    TransportDefinition,
)
from destinations.http.answer import (
    Answer,
    Concern,
    Context,
    Failure,
    HttpRequest,
    HttpResponse,
    Part,
)
from destinations.http.graphql import GraphQLRequest
from destinations.http.listed_items import Selection
from destinations.http.pending import PendingRequest
from destinations.http.rest import RestRequest

__all__ = [
    "Answer",
    "CompiledRequest",
    "Concern",
    "Context",
    "Failure",
    "GraphQLRequest",
    "HttpRequest",
    "HttpResponse",
    "Part",
    "PendingRequest",
    "RestRequest",
    "Selection",
    "compile_request",
]

CompiledRequest = GraphQLRequest | RestRequest | PendingRequest


def compile_request(
    definition: RequestDefinition,
    transport: TransportDefinition,
    error_rules: Sequence[ErrorRule],
) -> CompiledRequest:
    """Compile one request of a checked definition."""
    if isinstance(definition.call, PendingDefinition):
        return PendingRequest(definition, definition.call)
    if isinstance(definition.call, GraphQLDefinition):
        return GraphQLRequest(definition, definition.call, transport, error_rules)
    return RestRequest(definition, definition.call, transport, error_rules)
