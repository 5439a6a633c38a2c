// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package amazontest

import (
	"bytes"
	_ "embed" // of the model
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// tokensModelFile is the official model of the Tokens API; see model/NOTICE.
//
//go:embed model/tokens_2021-03-01.json
var tokensModelFile []byte

// tokensModel is what the model says about createRestrictedDataToken.
type tokensModel struct {
	request *jsonschema.Schema
	static  []staticCase
}

// staticCase is a request that the sandbox answers always alike.
type staticCase struct {
	request  any // as decoded
	status   int
	response json.RawMessage
}

func loadTokensModel() (*tokensModel, error) {
	request, err := compileRequest()
	if err != nil {
		return nil, fmt.Errorf("model of the Tokens API: %w", err)
	}
	static, err := readStaticCases()
	if err != nil {
		return nil, fmt.Errorf("static cases of the Tokens API: %w", err)
	}
	return &tokensModel{request: request, static: static}, nil
}

// compileRequest closes the definitions: Amazon answers InvalidInput to members
// it does not know, which a Swagger 2.0 model does not say.
func compileRequest() (*jsonschema.Schema, error) {
	model, err := jsonschema.UnmarshalJSON(bytes.NewReader(tokensModelFile))
	if err != nil {
		return nil, err
	}
	root, _ := model.(map[string]any)
	definitions, _ := root["definitions"].(map[string]any)
	for _, name := range []string{"CreateRestrictedDataTokenRequest", "RestrictedResource"} {
		definition, ok := definitions[name].(map[string]any)
		if !ok {
			return nil, errors.New("no definition of " + name)
		}
		definition["additionalProperties"] = false
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4)
	const url = "file:///tokens_2021-03-01.json"
	if err := compiler.AddResource(url, model); err != nil {
		return nil, err
	}
	return compiler.Compile(url + "#/definitions/CreateRestrictedDataTokenRequest")
}

func readStaticCases() ([]staticCase, error) {
	var model struct {
		Paths map[string]struct {
			Post struct {
				Responses map[string]struct {
					Sandbox struct {
						Static []struct {
							Request struct {
								Parameters struct {
									Body struct {
										Value json.RawMessage `json:"value"`
									} `json:"body"`
								} `json:"parameters"`
							} `json:"request"`
							Response json.RawMessage `json:"response"`
						} `json:"static"`
					} `json:"x-amzn-api-sandbox"`
				} `json:"responses"`
			} `json:"post"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(tokensModelFile, &model); err != nil {
		return nil, err
	}
	var cases []staticCase
	for code, response := range model.Paths[restrictedTokenPath].Post.Responses {
		status, err := strconv.Atoi(code)
		if err != nil {
			return nil, err
		}
		for _, static := range response.Sandbox.Static {
			request, err := jsonschema.UnmarshalJSON(bytes.NewReader(static.Request.Parameters.Body.Value))
			if err != nil {
				return nil, err
			}
			var response bytes.Buffer
			if err := json.Compact(&response, static.Response); err != nil {
				return nil, err
			}
			cases = append(cases, staticCase{request, status, response.Bytes()})
		}
	}
	if len(cases) == 0 {
		return nil, errors.New("there are none")
	}
	return cases, nil
}

// restrictedRequest is a body as createRestrictedDataToken understands it.
type restrictedRequest struct {
	TargetApplication string               `json:"targetApplication"`
	Resources         []RestrictedResource `json:"restrictedResources"`

	static *staticCase // whose request it is; nil if none's
}

// read understands what the model allows, and the requests of static cases,
// one of which the model does not allow.
func (m *tokensModel) read(body []byte) (restrictedRequest, bool) {
	var request restrictedRequest
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return request, false
	}
	for i := range m.static {
		if reflect.DeepEqual(decoded, m.static[i].request) {
			request.static = &m.static[i]
		}
	}
	refused := request.static != nil && request.static.status != http.StatusOK
	if !refused && m.request.Validate(decoded) != nil {
		return request, false
	}
	return request, json.Unmarshal(mustJSON(decoded), &request) == nil
}
