"use strict";

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // The document is not sent to a foreign validator, and keys are forgotten when the page closes.
  validatorUrl: null,
  persistAuthorization: false,
});
