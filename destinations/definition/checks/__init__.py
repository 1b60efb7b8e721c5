"""Find the issues that the JSON Schemas cannot: references, FQL, mappings, GraphQL."""

__all__: list[str] = []
